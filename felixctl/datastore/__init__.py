"""`felixctl datastore`: lock it, and take a cluster along to another datastore."""
