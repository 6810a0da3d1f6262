"""What care managers do: each act changes the case and, with it, what is wanted in the EMR."""
