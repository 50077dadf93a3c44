"""What several rules of a family ask about code: rules never import each other, they share this."""
