"""Routes to and from peers through ExaBGP. Knows neither the datastore's verbs nor the kernel."""
