//! What is signed, and by which keys. That others believe the signatures is tested with their programs, in the stories.
