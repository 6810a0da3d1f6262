"""What is said to a patient before care management begins: plain words, with the version that is recorded."""

VERSION = "2026-11"
TEXT = (
    "A care manager of this practice would like to help you with your health: by calling you, by making a"
    " plan with you, and by working with everybody who treats you. It is your choice. You may say no, and"
    " you may stop at any time. Your insurance may ask you to pay a part. Only one practice can do this for"
    " you in a month. What you tell us goes into your record here."
)
