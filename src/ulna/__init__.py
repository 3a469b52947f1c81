"""ulna: the U-Net for biomedical images."""
