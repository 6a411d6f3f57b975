//! Long columns of numbers, as they are in memory: reading a hundred thousand of them one by one takes longer than all else.

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;

const WIDTH: usize = size_of::<u64>();

pub(super) fn serialize<S: Serializer>(column: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = column.iter().flat_map(|number| number.to_le_bytes()).collect();
    serializer.serialize_bytes(&bytes)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    struct Column;
    impl Visitor<'_> for Column {
        type Value = Vec<u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a column of numbers")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u64>, E> {
            let (numbers, rest) = bytes.as_chunks::<WIDTH>();
            if rest.is_empty() {
                Ok(numbers.iter().map(|number| u64::from_le_bytes(*number)).collect())
            } else {
                Err(E::invalid_length(bytes.len(), &self))
            }
        }
    }
    deserializer.deserialize_bytes(Column)
}
