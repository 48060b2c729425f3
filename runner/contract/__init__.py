"""The ground floor: the words, rows and records that both planes agree on."""
