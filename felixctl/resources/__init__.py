"""Resources as calicoctl's users know them: read, checked, written, and printed."""
