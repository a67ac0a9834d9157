"""What the server answers: reading, searching, counting, writing, uploads and downloads."""
