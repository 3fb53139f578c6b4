"""Who prepares the archives of a run over many: processes of this machine, or workers anywhere behind a broker."""
