-- Last contacts by their key of docs/storage.md, contacts/<site>/<mac>: the JSON of a contact.
-- Without a row id the key is the table, and a contact is one row written.
CREATE TABLE contacts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
