"""A read model built anew beside the one that answers: to replace it, or to be compared with it."""
