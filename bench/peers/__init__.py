"""What a user would pick instead of Tidings, each as its own documentation sets it up."""
