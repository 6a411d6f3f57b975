//! Makes editions: chooses what is new, renders it, writes it to the ledger.

use chrono::{DateTime, Utc};
use std::collections::HashSet;
use std::sync::Arc;
use url::Url;

use crate::digest::edition::{Choice, Edits, Stale};
use crate::digest::render::{self, Contents, Templates};
use crate::digest::{self, Digest, Drafted, Edition, EditionId, EditionPiece, EditionState, Editions, Sealed};
use crate::newsroom::{Article, ArticleId, Bodies, Body, Newsroom, Problem};

/// Why no edition could be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum SealError<E: std::error::Error + 'static> {
    /// The articles or the templates have problems.
    #[error("the edition cannot be rendered")]
    Material(Vec<Problem>),
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] E),
    /// Somebody has changed the draft since it was looked at.
    #[error("edition {} was changed meanwhile", .0.0)]
    Revised(EditionId),
    /// The edition is not a draft (any more).
    #[error("edition {} is {}, not a draft", .0.0, .1)]
    NotDraft(EditionId, &'static str),
    /// No piece would be left.
    #[error("edition {} would carry nothing", .0.0)]
    Empty(EditionId),
    /// A piece is gone from the newsroom.
    #[error("the edition carries an article that is no longer there: {0}")]
    Gone(ArticleId),
    /// The bytes in the ledger are not those that were approved.
    #[error("edition {} is not what was approved: its bytes do not match their seal", .0.0)]
    Broken(EditionId),
}

/// All that making an edition of one digest needs.
#[derive(Clone, Copy)]
pub struct Desk<'a, S> {
    /// Where editions are recorded.
    pub editions: &'a S,
    /// What is published.
    pub newsroom: &'a Newsroom,
    /// The articles' texts.
    pub bodies: &'a dyn Bodies,
    /// Of which digest.
    pub digest: &'a Digest,
    /// How it looks.
    pub templates: &'a Templates,
    /// Below it stand the editions' pages: `archive/<digest>/<number>`.
    pub public: &'a Url,
}

/// What the next edition would be.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The number it would have.
    pub number: u32,
    /// In order, with those passed over for good at a digest's first edition.
    pub pieces: Vec<EditionPiece>,
    /// As every reader would get it.
    pub sealed: Sealed,
}

impl<S: Editions> Desk<'_, S> {
    /// What the next edition would be; `None` where there are fewer new pieces than the digest asks for.
    ///
    /// # Errors
    /// [`SealError::Material`] and [`SealError::Ledger`].
    pub async fn propose(&self, now: DateTime<Utc>) -> Result<Option<Proposal>, SealError<S::Error>> {
        // First, so that an edition that is made meanwhile is seen: among the pieces, or by the number.
        let earlier = self.editions.editions(Some(&self.digest.slug)).await?;
        let number = 1 + earlier.iter().map(|e| e.number).max().unwrap_or(0);
        let candidates = self.newsroom.articles.iter().filter(|a| self.digest.sections.contains(&a.section));
        let known = self.editions.known(&self.digest.slug, candidates.map(|a| a.id.clone()).collect()).await?;
        let chosen = digest::select(&self.newsroom.articles, &known, self.digest, !earlier.iter().any(Edition::counts));
        if !chosen.is_enough(self.digest) {
            return Ok(None);
        }
        let mut pieces: Vec<_> = chosen.carried.iter().map(|a| piece(a, Choice::Carried)).collect();
        pieces.extend(chosen.passed.iter().map(|a| piece(a, Choice::Passed)));
        let sealed = self.render(number, &chosen.carried, &Edits::default(), now)?;
        Ok(Some(Proposal { number, pieces, sealed }))
    }

    /// Writes the next edition as a draft; `None` where nothing (or too little) is new.
    ///
    /// # Errors
    /// As [`Desk::propose`].
    pub async fn draft(&self, now: DateTime<Utc>) -> Result<Option<Edition>, SealError<S::Error>> {
        self.make(None, now).await
    }

    /// As [`Desk::draft`], for a due time of the schedule, which then counts as handled; `None` also where it had been handled
    /// before.
    ///
    /// # Errors
    /// As [`Desk::propose`].
    pub async fn draft_due(
        &self,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Option<Edition>, SealError<S::Error>> {
        self.make(Some(due), now).await
    }

    async fn make(
        &self,
        due: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Option<Edition>, SealError<S::Error>> {
        let slug = &self.digest.slug;
        loop {
            let Some(p) = self.propose(now).await? else {
                if let Some(due) = due {
                    self.editions.ran(slug, due).await?;
                }
                return Ok(None);
            };
            match self.editions.draft(slug, p.number, due, p.pieces, p.sealed, now).await? {
                Drafted::Made(edition) => return Ok(Some(*edition)),
                Drafted::Handled => return Ok(None),
                // Of what is still new then, another.
                Drafted::Outrun => {}
            }
        }
    }

    /// Renders a draft anew with other pieces or edits, from the articles as they are now.
    ///
    /// # Errors
    /// [`SealError::NotDraft`], [`SealError::Revised`], [`SealError::Empty`], [`SealError::Gone`], and as [`Desk::propose`].
    pub async fn revise(
        &self,
        edition: &Edition,
        pieces: Vec<EditionPiece>,
        edits: Edits,
        now: DateTime<Utc>,
    ) -> Result<Sealed, SealError<S::Error>> {
        let articles = self.carried(&pieces)?;
        if articles.is_empty() {
            return Err(SealError::Empty(edition.id));
        }
        let sealed = self.render(edition.number, &articles, &edits, now)?;
        let revised = Edition { pieces, edits, sealed: sealed.clone(), ..edition.clone() };
        self.editions.revise(revised).await?.map_err(|why| stale(edition.id, why))?;
        Ok(sealed)
    }

    /// A draft that nobody has touched, as it is today: without what is no longer published, with what was corrected. Nothing is
    /// written. `None` where nothing of it is left.
    ///
    /// # Errors
    /// As [`Desk::propose`].
    pub fn renewed(&self, draft: &Edition, now: DateTime<Utc>) -> Result<Option<Edition>, SealError<S::Error>> {
        let there: HashSet<&ArticleId> = self.newsroom.articles.iter().map(|article| &article.id).collect();
        let mut pieces = draft.pieces.clone();
        pieces.retain(|piece| piece.choice != Choice::Carried || there.contains(&piece.id));
        let articles = self.carried(&pieces)?;
        if articles.is_empty() {
            return Ok(None);
        }
        let sealed = self.render(draft.number, &articles, &draft.edits, now)?;
        Ok(Some(Edition { pieces, sealed, ..draft.clone() }))
    }

    fn carried(&self, pieces: &[EditionPiece]) -> Result<Vec<Arc<Article>>, SealError<S::Error>> {
        pieces
            .iter()
            .filter(|p| p.choice == Choice::Carried)
            .map(|p| {
                let found = self.newsroom.articles.iter().find(|a| a.id == p.id);
                found.cloned().ok_or_else(|| SealError::Gone(p.id.clone()))
            })
            .collect()
    }

    fn render(
        &self,
        number: u32,
        articles: &[Arc<Article>],
        edits: &Edits,
        now: DateTime<Utc>,
    ) -> Result<Sealed, SealError<S::Error>> {
        let mut problems = Vec::new();
        let mut pieces: Vec<(Arc<Article>, Body)> = Vec::new();
        for article in articles {
            match self.bodies.body(article) {
                Ok(body) => pieces.push((Arc::clone(article), body)),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(SealError::Material(problems));
        }
        let view_url = self.public.join(&format!("archive/{}/{number}", self.digest.slug));
        let contents = Contents {
            digest: self.digest,
            masthead: &self.newsroom.masthead,
            sections: &self.newsroom.sections,
            number,
            date: now,
            pieces: &pieces,
            edits,
            view_url: view_url.as_ref().unwrap_or(self.public),
        };
        render::render(&contents, self.templates).map_err(SealError::Material)
    }
}

/// Fixes a draft's bytes with their seal and writes its deliveries; their number. Doing it again changes nothing.
///
/// # Errors
/// [`SealError::NotDraft`] where it was withdrawn, [`SealError::Revised`] where it is not what was read.
pub async fn approve<S: Editions>(
    editions: &S,
    edition: &Edition,
    now: DateTime<Utc>,
) -> Result<u64, SealError<S::Error>> {
    let mut approved = edition.clone();
    if approved.seal.is_none() {
        approved.sealed.date = now;
        approved.seal = Some(digest::seal::seal(&approved.sealed));
    }
    editions.approve(approved, now).await?.map_err(|why| stale(edition.id, why))
}

fn stale<E: std::error::Error + 'static>(edition: EditionId, why: Stale) -> SealError<E> {
    match why {
        Stale::State(state) => SealError::NotDraft(edition, state_name(state)),
        Stale::Revised => SealError::Revised(edition),
    }
}

/// Refuses an edition whose bytes are not those that were approved.
///
/// # Errors
/// [`SealError::NotDraft`] where it was never approved, [`SealError::Broken`] where the bytes differ.
pub fn verify<E: std::error::Error + 'static>(edition: &Edition) -> Result<(), SealError<E>> {
    match &edition.seal {
        None => Err(SealError::NotDraft(edition.id, state_name(edition.state))),
        Some(seal) if *seal == digest::seal::seal(&edition.sealed) => Ok(()),
        Some(_) => Err(SealError::Broken(edition.id)),
    }
}

/// A state in a word, as people read it.
pub fn state_name(state: EditionState) -> &'static str {
    match state {
        EditionState::Draft => "a draft",
        EditionState::Approved => "approved",
        EditionState::Sending => "being sent",
        EditionState::Sent => "sent",
        EditionState::Withdrawn => "withdrawn",
    }
}

fn piece(article: &Article, choice: Choice) -> EditionPiece {
    EditionPiece { id: article.id.clone(), title: article.title.clone(), choice }
}
