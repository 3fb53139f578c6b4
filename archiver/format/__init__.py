"""What an archive is: manifest, layout, tar, COPY text, encryption."""
