"""PRF1xx: building text, bytes and other immutable sequences piece by piece."""
