"""What the cluster says, and how it is kept: resources, selectors, and the stores behind one set of verbs."""
