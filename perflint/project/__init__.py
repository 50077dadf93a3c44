"""What surrounds the engine: settings, files, worker processes and writing back."""
