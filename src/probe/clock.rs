//! Another machine's clock, as far as a web server's `Date` tells it: to the second.

use chrono::{DateTime, TimeDelta, Utc};
use std::time::{Duration, SystemTime};
use url::Url;

/// The answer may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far our clock is ahead of the web server's at this address (negative: behind).
///
/// # Errors
/// In words: it does not answer, or tells no time.
pub async fn ahead_of(url: &Url) -> Result<TimeDelta, String> {
    let client =
        reqwest::Client::builder().timeout(PATIENCE).user_agent(concat!("pressrun/", env!("CARGO_PKG_VERSION")));
    let client = client.build().map_err(|error| error.to_string())?;
    let asked = SystemTime::now();
    let answer = client.head(url.clone()).send().await.map_err(|error| error.without_url().to_string())?;
    let answered = SystemTime::now();
    let date = answer.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
    let theirs = date.and_then(|date| httpdate::parse_http_date(date).ok()).ok_or("its answer has no date")?;
    // It was written somewhere between question and answer.
    let ours = asked + answered.duration_since(asked).unwrap_or_default() / 2;
    Ok(DateTime::<Utc>::from(ours) - DateTime::<Utc>::from(theirs))
}
