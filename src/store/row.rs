//! Between the ledger's columns and our types.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

use crate::store::StoreError;
use crate::subscriber::Address;

pub(in crate::store) fn millis(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

/// Milliseconds.
pub(in crate::store) fn span(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(in crate::store) fn time(millis: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| StoreError::Damaged(format!("no time: {millis}")))
}

pub(in crate::store) fn time_or_none(millis: Option<i64>) -> Result<Option<DateTime<Utc>>, StoreError> {
    millis.map(time).transpose()
}

/// What an address is known by.
pub(in crate::store) fn key(address: &Address) -> String {
    address.as_str().to_lowercase()
}

pub(in crate::store) fn address(text: &str) -> Result<Address, StoreError> {
    text.parse().map_err(|e| StoreError::Damaged(format!("an address: {e}")))
}

pub(in crate::store) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Database(e.to_string()))
}

pub(in crate::store) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Damaged(e.to_string()))
}

/// A unit variant's name, as serde writes it.
pub(in crate::store) fn word<T: Serialize>(value: T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(StoreError::Database("not a word".to_owned())),
    }
}

pub(in crate::store) fn from_word<T: DeserializeOwned>(word: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(|e| StoreError::Damaged(e.to_string()))
}

pub(in crate::store) fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

pub(in crate::store) fn small(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
