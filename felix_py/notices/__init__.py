"""What is accepted and not obeyed, or obeyed and worth knowing."""
