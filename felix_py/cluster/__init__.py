"""What the cluster says, as far as this node needs it: followed, judged and folded."""
