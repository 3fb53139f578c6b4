"""The report of a night, as a page and as Markdown: for the manager during the night, and the auditor after it."""
