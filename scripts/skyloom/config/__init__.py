"""The configuration: one schema, merged from several files, checked before any job is planned."""
