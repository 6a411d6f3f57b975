-- Signing ahead.

-- Of deliveries that wait: what is to be kept of a signature. Emptied when editions end.
CREATE TABLE signature (
    delivery INTEGER PRIMARY KEY,
    bytes    BLOB NOT NULL
) STRICT;
