-- The keys that sign links, by name: under a number that is taken nobody signs with another one.
CREATE TABLE link_key (
    number BIGINT PRIMARY KEY CHECK (number BETWEEN 0 AND 255),
    name   BYTEA NOT NULL
);
