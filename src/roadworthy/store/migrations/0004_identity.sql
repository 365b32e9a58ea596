-- Who may use a server, and as what (faces/server/identity). Of secrets only hashes are here.

-- identity/users.py. `password` is empty for people who come through an identity provider, whose `subject` is theirs.
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL,
    subject TEXT NOT NULL,
    active INTEGER NOT NULL,
    created_at DOUBLE PRECISION NOT NULL
) WITHOUT ROWID;
CREATE INDEX users_subject ON users (subject);
CREATE TABLE user_roles (
    name TEXT NOT NULL,
    project TEXT NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (name, project)
) WITHOUT ROWID;

-- identity/tokens.py. `roles` is JSON, project to role; `owner` is empty for tokens that are nobody's.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    roles TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION,
    used_at DOUBLE PRECISION,
    revoked_at DOUBLE PRECISION
) WITHOUT ROWID;
CREATE UNIQUE INDEX tokens_hash ON tokens (hash);

-- identity/sessions.py: people who logged in with a browser.
CREATE TABLE sessions (
    hash TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_name ON sessions (name);
