"""Training of sparse encoders: data, teachers, losses, the trainer, export."""
