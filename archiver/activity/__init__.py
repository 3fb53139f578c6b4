"""What goes month by month while its tenant stays: the activity that ended, out of a live product and back."""
