"""The archive's format: manifest, layout, tar, COPY text, encryption."""
