//! WebSub (W3C Recommendation, 23 January 2018): telling a hub that a feed has changed, so that it fetches the feed and
//! tells its subscribers. How a publisher does that is left open there (section 6); all public hubs take the form of
//! `PubSubHubbub` 0.4: `hub.mode=publish` and the topic's address.

use std::time::Duration;
use url::Url;

/// How a hub is told, and for how long we try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Times, the first included.
    pub tries: u32,
    /// The wait before the second; doubles each time, unless the hub says how long (at most [`LONGEST_WAIT`]).
    pub first_wait: Duration,
    /// One request may take so long.
    pub request: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { tries: 5, first_wait: Duration::from_secs(1), request: Duration::from_secs(10) }
    }
}

/// No wait is longer than this, even if the hub asks for it.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// A hub that has moved is followed so many times; to `https` from then on, if it was that.
const MOVES: u32 = 4;

/// Why a hub has not been told.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// It said no, and would again.
    #[error("the hub refused with status {0}")]
    Refused(u16),
    /// It was not there, or not well, for as long as we tried. To be told later.
    #[error("{0}")]
    Unavailable(String),
}

/// Tells hubs.
#[derive(Debug)]
pub struct Messenger {
    client: reqwest::Client,
    patience: Patience,
}

impl Messenger {
    /// Made only when there is something to tell: without the system's certificates it cannot be.
    pub fn new(patience: Patience) -> Result<Messenger, PingError> {
        let client = reqwest::Client::builder()
            .timeout(patience.request)
            // A client that follows by itself turns the POST into a GET, and takes a page for the hub's thanks.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("pressrun/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| PingError::Unavailable(error.to_string()))?;
        Ok(Messenger { client, patience })
    }

    /// Tells this hub that this feed has changed.
    pub async fn ping(&self, hub: &Url, topic: &Url) -> Result<(), PingError> {
        let mut wait = self.patience.first_wait;
        let mut tries = self.patience.tries.max(1);
        let (mut hub, mut moves) = (hub.clone(), 0);
        loop {
            tries -= 1;
            let (because, asked) = match self.ping_once(&hub, topic).await {
                Ok(Said::Thanks) => return Ok(()),
                Ok(Said::Moved(status, _)) if moves == MOVES => return Err(PingError::Refused(status)),
                Ok(Said::Moved(_, to)) => {
                    (hub, moves, tries) = (to, moves + 1, tries + 1);
                    continue;
                }
                Ok(Said::No(status)) => return Err(PingError::Refused(status)),
                Ok(Said::Later(status, asked)) => (format!("the hub answered with status {status}"), asked),
                // Without the address: it stands beside it wherever this is told.
                Err(error) => (error.without_url().to_string(), None),
            };
            if tries == 0 {
                return Err(PingError::Unavailable(because));
            }
            tokio::time::sleep(asked.unwrap_or(wait).min(LONGEST_WAIT)).await;
            wait = wait.saturating_mul(2);
        }
    }

    async fn ping_once(&self, hub: &Url, topic: &Url) -> Result<Said, reqwest::Error> {
        // Hubs differ in which of the two names they read.
        let form = [("hub.mode", "publish"), ("hub.topic", topic.as_str()), ("hub.url", topic.as_str())];
        let answer = self.client.post(hub.clone()).form(&form).send().await?;
        let status = answer.status();
        let after = answer.headers().get(reqwest::header::RETRY_AFTER).and_then(|after| after.to_str().ok());
        let to = answer.headers().get(reqwest::header::LOCATION).and_then(|to| hub.join(to.to_str().ok()?).ok());
        let to = to.filter(|to| to.scheme() == "https" || (to.scheme() == "http" && hub.scheme() == "http"));
        Ok(match (status.as_u16(), to) {
            // 303: it has been done, and there is a page about it.
            (200..=299 | 303, _) => Said::Thanks,
            (301 | 302 | 307 | 308, Some(to)) => Said::Moved(status.as_u16(), to),
            (408 | 425 | 429 | 500.., _) => {
                Said::Later(status.as_u16(), after.and_then(|s| s.parse().ok()).map(Duration::from_secs))
            }
            _ => Said::No(status.as_u16()),
        })
    }
}

/// What a hub said.
enum Said {
    Thanks,
    Moved(u16, Url),
    No(u16),
    Later(u16, Option<Duration>),
}
