"""The Kubernetes API as a datastore: Calico's custom resources, nodes and pods behind the store's verbs."""
