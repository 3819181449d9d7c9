"""What is true about customers, with no idea where it is stored or shown."""
