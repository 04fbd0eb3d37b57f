"""The rules of the tree, read from its sources: `python -m tests.layout [PART OF A PATH]` prints what breaks them."""
