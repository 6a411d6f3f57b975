//! When a digest is due.

/// A cron expression in a time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Five fields, as in crontab(5).
    pub cron: String,
    /// IANA name, for instance `America/Chicago`.
    pub time_zone: chrono_tz::Tz,
}
