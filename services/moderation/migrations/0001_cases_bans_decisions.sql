-- What outlives every process: cases with their evidence, bans, and the decisions that moderation took by itself.
--
-- Runs as it is on SQLite and on PostgreSQL, so it keeps to what both know: TEXT and BIGINT. Ids are text of 32
-- hexadecimal digits, times are milliseconds since the Unix epoch.

-- One row per report. Rows are only ever added.
CREATE TABLE cases (
    -- For people to quote, such as S-7Q4K-2M9X.
    number TEXT NOT NULL PRIMARY KEY,
    -- The report's id: the same report is stored once, however often it is sent.
    report TEXT NOT NULL UNIQUE,
    chat TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_unix_ms BIGINT NOT NULL,
    -- All that was reported, as JSON: the comment, who took part, and the chat's last minutes.
    evidence TEXT NOT NULL,
    -- SHA-256 of exactly the bytes of `evidence`, in hexadecimal.
    digest TEXT NOT NULL
);

CREATE INDEX cases_by_time ON cases (created_unix_ms);

CREATE TABLE bans (
    id TEXT NOT NULL PRIMARY KEY,
    -- The change that the row is at, see ban_revision.
    revision BIGINT NOT NULL UNIQUE,
    session TEXT,
    -- A keyed hash of an address, never an address.
    address TEXT,
    reason TEXT NOT NULL,
    -- The case that led to the ban, where one did.
    case_number TEXT REFERENCES cases (number),
    created_unix_ms BIGINT NOT NULL,
    until_unix_ms BIGINT NOT NULL,
    -- When the ban was lifted before its time, if it was.
    lifted_unix_ms BIGINT,
    CHECK (session IS NOT NULL OR address IS NOT NULL)
);

CREATE INDEX bans_by_end ON bans (until_unix_ms);

-- A single row with the number of the last change to the bans. Whoever changes bans raises it first, in the same
-- transaction, and so holds the row's lock until the commit: changes become visible in the order of their numbers, and who
-- has read up to a number has missed nothing below it.
CREATE TABLE ban_revision (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    last BIGINT NOT NULL
);

INSERT INTO ban_revision (id, last) VALUES (1, 0);

-- What was decided about a text, without the text. Rows are only ever added.
CREATE TABLE decisions (
    id TEXT NOT NULL PRIMARY KEY,
    chat TEXT NOT NULL,
    seat BIGINT NOT NULL,
    -- The sender's number of the text.
    seq BIGINT NOT NULL,
    session TEXT NOT NULL,
    rule TEXT NOT NULL,
    action TEXT NOT NULL,
    at_unix_ms BIGINT NOT NULL
);

CREATE INDEX decisions_by_chat ON decisions (chat);
