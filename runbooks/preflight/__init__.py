"""What must hold before a night begins, a file for each kind of subject; `subjects.py` has them all."""
