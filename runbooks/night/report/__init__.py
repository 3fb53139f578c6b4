"""What a night has come to, as a page and as Markdown: for the manager in the night, and the auditor after it."""
