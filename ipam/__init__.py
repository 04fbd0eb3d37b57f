"""Which address a pod gets: blocks, affinities and handles, in the formats shared with Calico."""
