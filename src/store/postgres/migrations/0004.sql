-- Presses that are at work, and until when they are thought to be: they share the limits of speed.
CREATE TABLE press (
    name  TEXT COLLATE "C" PRIMARY KEY,
    until BIGINT NOT NULL
);
