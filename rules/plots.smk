# Results in, figures out, each with its caption in the report.
