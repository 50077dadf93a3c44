"""What the rules about databases share: drivers, receivers, SQL texts, loops over items."""
