### English. Keys: mail-* in mails, page-* on pages, js-* in the browser code. Variables are written `{ $name }`.

## Reports about mail that could not be delivered

mail-report-failed-subject = Your message could not be delivered
mail-report-failed-opening = The mail gateway of { $organisation } could not deliver your message of { $date } to:
mail-report-failed-refused = The receiving mail server refused it for good and said:
mail-report-failed-expired = It was tried for several days without success. Last reply:
mail-report-failed-closing = The message was not sent to these recipients and will not be tried again. Please check the addresses, or reach them another way.
mail-report-held-subject = A reader's answer could not be delivered and is held
mail-report-held-opening = An answer that came in through the portal could not be delivered to:
mail-report-held-closing = It is not lost: it is held in the gateway's queue under { $id }. When the cause is gone, release it with "sealpost queue retry { $id }".

## Dates

date-format = { $day } { $month } { $year }
date-month-1 = January
date-month-2 = February
date-month-3 = March
date-month-4 = April
date-month-5 = May
date-month-6 = June
date-month-7 = July
date-month-8 = August
date-month-9 = September
date-month-10 = October
date-month-11 = November
date-month-12 = December

## Mails

mail-layout-organisation = Organisation
mail-layout-telephone = Telephone
mail-layout-website = Website
mail-layout-machine = This mail was written by a machine. Nobody reads answers to it.

mail-notification-subject = A protected message from { $organisation }
mail-notification-from = { $sender-name } via { $organisation }
mail-notification-title = A protected message is waiting for you
mail-notification-intro = { $sender } has written to you. The message is confidential, so it isn’t in this mail: you open it on the portal of { $organisation }. You need no account and nothing to install.
mail-notification-button = Open the message
mail-notification-link-title = Open the message with this link:
mail-notification-code = After you open the link, we mail you a code. Type it into the page, and the message opens.
mail-notification-expires = You can open the message, as often as you like, until { $date }. After that it is destroyed.
mail-notification-genuine-title = Is this mail genuine?
mail-notification-genuine-link = The link begins with the portal’s address. Check it in your browser before you type anything:
mail-notification-genuine-call = If in doubt, call { $organisation } at the number that you already know, from a letter or an earlier visit. Nobody there will ask you for the code.
mail-notification-without-title = If the link doesn’t open
mail-notification-without = Go to the portal’s address and type in your mail address and this pickup code:
mail-notification-full = Or copy the whole link into your browser’s address bar:
mail-notification-answer = To answer, open the message: there is a button for it.
mail-notification-forward = The link is meant for you alone. Please don’t forward this mail.

mail-follow-up-subject = A further protected message from { $organisation }
mail-follow-up-title = There is a further message in your conversation
mail-follow-up-intro = { $sender } has written to you again, in the conversation that you know already. The new message is confidential, so it isn’t in this mail: you open it on the portal of { $organisation }, as you did before.

mail-code-subject = Your code for the portal of { $organisation }
mail-code-title = Your code
mail-code-intro = Type this code into the page on which you want to open your message from { $organisation }:
mail-code-valid = It is valid for { $minutes } minutes, and only in the browser in which you asked for it.
mail-code-never = Never tell it to anybody, on the telephone neither. Nobody at { $organisation } will ask you for it.
mail-code-ignore = If you didn’t ask for a code, ignore this mail. Without the code your message stays closed.
mail-code-account-intro = Somebody, probably you, wants to get into your account with { $organisation } without its passphrase. Type this code into the page on which you asked for it:
mail-code-account-ignore = If you didn’t ask for a code, ignore this mail. Without the code, and without your passphrase or your recovery code, your account stays closed.

mail-passphrase-subject = Your passphrase for the portal of { $organisation } was changed
mail-passphrase-title = Your passphrase was changed
mail-passphrase-intro = On { $date } the passphrase or the recovery code of your account with { $organisation } was changed.
mail-passphrase-you = If that was you, there is nothing to do.
mail-passphrase-other = If it wasn’t you, somebody else can read your messages. Call { $organisation } at the number that you already know, and ask for your account to be reset.

mail-answer-from = { $reader } via { $organisation } portal
mail-answer-without-subject = Your message was answered
mail-answer-held-the-link = This answer came through the portal of { $organisation }, from somebody who held the link that was sent to { $reader }.
mail-answer-signed = This answer came through the portal of { $organisation }. It is signed with the key that { $reader } enrolled on { $date }.
mail-answer-not-scanned = The enclosures were not scanned for malware. Open them with care.
mail-answer-again = If you answer this mail as usual, your answer goes back protected, into the same conversation.
mail-answer-unnamed = enclosure

mail-report-recipient = Recipient
mail-report-date = Sent on
mail-report-message-id = Message-ID of your message
mail-report-reply = Answer of the mail server

mail-undelivered-subject = Not delivered: your protected message to { $recipient }
mail-undelivered-title = Your message didn’t reach its recipient
mail-undelivered-intro = You wrote to { $recipient } on { $date }. Your message was sealed and put into the portal, but the mail that tells the recipient about it could not be delivered. So the recipient doesn’t know of it.
mail-undelivered-next = Please check the address. If it is misspelt, send the message again to the right one. If it belongs to somebody else, tell your administrator, who can withdraw the message.

mail-stuck-subject = A message can’t be worked on and waits
mail-stuck-title = A message waits in the gateway
mail-stuck-intro = The gateway of { $organisation } has accepted a message and could not seal or pass it on in several attempts. It isn’t lost: it is kept, encrypted, and tried again.
mail-stuck-next = The log has the cause. This command shows the message’s state:

mail-expired-subject = Expired unread: your protected message to { $recipient }
mail-expired-title = Your message was not opened
mail-expired-intro = You wrote to { $recipient } on { $date }. Your message was not opened in time: it expired and was destroyed in the portal.
mail-expired-next = If it still matters, send it again or reach the recipient in another way.

mail-unsent-subject = Not sent: your protected message to { $recipient }
mail-unsent-title = Your message was not sent
mail-unsent-intro = You wrote to { $recipient } on { $date }. Your message has to be encrypted to the recipient’s OpenPGP key. The key was usable when the message was accepted and no longer was when it should have been encrypted: it expired, was revoked or was removed. The message was not sent, not in the clear either.
mail-unsent-next = Ask your administrator for a new key of the recipient, or send the message another way.

mail-straight-intro = { $sender } has written to you. The message is confidential, so it isn’t in this mail: you open it in your account on the portal of { $organisation }.
mail-straight-button = Sign in and open the message
mail-straight-link-title = Sign in and open the message:
mail-straight-full = If the button doesn’t work, copy the whole link into your browser’s address bar:
mail-straight-forgotten = You need the passphrase of your account. If you have forgotten it, keep your recovery code ready: the portal shows you the way back.
mail-straight-call = If in doubt, call { $organisation } at the number that you already know, from a letter or an earlier visit. Nobody there will ask you for your passphrase.

mail-account-fingerprint = Fingerprint of the key
mail-account-made-subject = Your account on the portal of { $organisation }
mail-account-made-title = You have an account now
mail-account-made-intro = On { $date } an account was made for { $reader } on the portal of { $organisation }, with a key of its own. From now on, messages to you are sealed so that only this account opens them.
mail-account-made-next = If it wasn’t you, somebody else has access to your mailbox. Call { $organisation } at the number that you already know, or write to { $contact }: the account can be reset.
mail-account-ended-subject = Your account on the portal of { $organisation } was reset
mail-account-ended-title = Your account was reset
mail-account-ended-intro = On { $date } the administration of { $organisation } reset the account of { $reader }. What was sealed to its key alone can’t be opened any more; new messages come with a link again.
mail-account-ended-next = With the next message you can make another account. If you didn’t ask for this, call { $organisation } at the number that you already know, or write to { $contact }.

mail-account-enrolled-subject = { $reader } has an account now
mail-account-enrolled-title = Your recipient has an account now
mail-account-enrolled-intro = { $reader }, to whom you wrote, made an account on the portal of { $organisation } on { $date }, with a key of its own. From now on, your messages to this recipient are sealed to that key.
mail-account-enrolled-next = There is nothing that you must do. If a message is so confidential that you want to be sure whose key it is, call the recipient and compare the fingerprint: the account shows it under Settings. You will be told if the key ever changes.
mail-account-changed-subject = The key of { $reader } has changed
mail-account-changed-title = Your recipient has another key
mail-account-changed-intro = { $reader }, to whom you wrote, made a new account on the portal of { $organisation } on { $date }. Its key is another one than before.
mail-account-changed-next = This is as it should be if the recipient had lost passphrase and recovery code. It could also be somebody else who took over the mailbox. Before you send something confidential, call the recipient and compare the fingerprint. If anything is wrong, write to { $contact }.
mail-account-reset-subject = The key of { $reader } is no longer used
mail-account-reset-title = Your recipient’s account was reset
mail-account-reset-intro = On { $date } the administration of { $organisation } reset the account of { $reader }, to whom you wrote. Messages that were sealed to its key and not yet read can’t be opened any more.
mail-account-reset-next = Your next messages go to the recipient with a link again. If something that you sent still matters, please send it again.

## Pages

page-title = Protected message
page-skip = Skip to the content
page-languages = Language
page-footer-sealed = Sealpost protects this page: { $organisation } seals each message at its gateway before it is stored, and it is opened only in your browser. Link and code together open it; neither is enough alone.
page-footer-telephone = Questions, or not sure whether this is genuine? Telephone
page-call = Telephone:
page-loading = One moment …
page-steps = Steps
page-step-ask = Ask for a code
page-step-code = Enter the code
page-step-read = Read
page-continue = Continue
page-again = Try again
page-problem = That did not work
page-noscript-heading = Please switch on JavaScript
page-noscript-advice = The message is opened in your browser and nowhere else. That takes JavaScript, which is switched off here. Switch it on for this page and load it again, or open the link in another browser. If neither is possible, call us.
page-old-browser-heading = This browser is too old
page-old-browser-advice = The message is opened in your browser, and this one lacks the encryption that it takes. Open the link from the mail in a current version of Chrome, Edge, Firefox or Safari, for example on your phone. If that is not possible, call us.
page-greeting-heading = You have a protected message from { $organisation }
page-greeting-intro = So that only you can read it, we send a code to the e-mail address at which you got the link. You need no account and no password.
page-greeting-hint = The code comes in a separate mail and is valid for ten minutes. You can leave this page to fetch it.
page-genuine = Not sure whether this is genuine? { $organisation } can tell you:
page-ask-button = Send me a code
page-code-heading = Enter the code from your mail
page-code-sent = If there is a message for you, the code is on its way to your e-mail address.
page-code-label = Code
page-code-hint = Eight digits. Spaces do not matter.
page-code-button = Open the message
page-code-missing-heading = No mail with a code?
page-code-missing = It can take a minute or two. Please look into the spam folder too. Only the newest code counts, and only in this browser. We send at most three codes in a quarter of an hour.
page-code-again = Send another code
page-code-never = If no code comes at all, the message may have expired or been withdrawn.
page-secret-heading = Enter your pickup code
page-secret-label = Pickup code
page-secret-hint = It stands in the mail below the link: nine groups of four letters and digits. Upper and lower case, spaces and hyphens do not matter.
page-address-label = Your e-mail address
page-address-hint = The address at which you got our mail.
page-open-heading = Open a protected message from { $organisation }
page-open-intro = The simplest way is the link in our mail. If it does not work, enter your e-mail address and the pickup code from the mail. We then send you a second code.
page-open-link = I have a pickup code
page-about-heading = What is this?
page-about = { $organisation } sends messages that are nobody else’s business through this page instead of ordinary mail. They are sealed at the gateway, stored only sealed, and opened in your browser with what you have: the link or pickup code from our mail, and a code that we send to your address.
page-from = From
page-to = To
page-cc = Copy
page-date = Date
page-enclosures = Attachments
page-letter-verified = Sealed at the gateway of { $organisation }, checked in this browser, unchanged.
page-print = Print
page-save-mail = Save as .eml
page-reply-open = Reply
page-reply-heading = Your reply
page-reply-kept = This is what you had written. It was kept in this tab.
page-reply-label = Message
page-reply-files = Attach files
page-reply-files-hint = Up to 20 files, 25 MB together.
page-reply-send = Send reply
page-reply-cancel = Discard
page-reply-sealed = Your reply is sealed in this browser before it leaves it. Only { $organisation } can open it.
page-reply-again = Write another reply
page-sent-heading = Your reply has been sent
page-sent = { $organisation } has taken your reply and delivers it to the mailbox of the person who wrote to you.
page-sent-next = If they answer, you get another mail with a link. You can close this page now.
page-lost-link = Ask for a new mail with a link
page-lost-heading = Lost or expired link?
page-lost-intro = Enter your e-mail address. If there are messages for you that can still be opened, we send you a new mail with a link.
page-lost-button = Send me a new mail
page-lost-done-heading = Thank you
page-lost-done = If there are messages for this address that can still be opened, a mail is on its way. It can take a few minutes; please look into the spam folder too.
page-lost-done-nothing = If nothing comes, there is no message any more: it has expired, was withdrawn, or went to another address. Please ask the person who wrote to you to send it again.
page-error-not-found-heading = There is no such page
page-error-not-found-advice = Please open the link from our mail once more. If it is old, you can ask for a new one.
page-error-bad-request-heading = That did not work
page-error-bad-request-advice = The page was asked in a way that it does not know. Please open the link from our mail once more.
page-error-too-large-heading = That is too large
page-error-too-large-advice = What you sent is larger than we can take. Please send less at once.
page-error-too-many-heading = Too many attempts
page-error-too-many-advice = Please wait a few minutes and try again.
page-error-busy-heading = We are not available for the moment
page-error-busy-advice = Nothing is lost. Please try again in a few minutes.

## Browser

js-code-until = It is valid until { $time }.
js-code-sent = Please enter the code from your mail.
js-code-length = The code has eight digits. Please check what you have entered.
js-code-checking = Checking the code …
js-code-wrong = This code is not valid (any more). Please check it, or ask for another one below.
js-code-wait = You can ask for another code in { $seconds } seconds.
js-unreachable-offline = No connection. Please check it and try again.
js-unreachable-busy = We are not available for the moment. Please try again in a few minutes.
js-unreachable-often = Too many attempts. Please wait a few minutes and try again.
js-secret-missing = Your mail program did not pass on the whole link. Please enter the pickup code from the mail; it replaces the missing part.
js-secret-damaged = Your mail program changed the link on its way. Please enter the pickup code from the mail; it replaces the broken part.
js-secret-foreign = The link or pickup code does not belong to this message. Perhaps you have several mails from us: please take the pickup code from the mail whose link you opened.
js-secret-wrong = This is not a pickup code: one of its characters must be wrong. Please compare it with the mail.
js-secret-fits-none = No message that can be opened with this address fits this pickup code. Please compare both with the mail. If the message has expired, you can ask for a new mail below.
js-address-wrong = Please enter an e-mail address such as name@example.com.
js-no-subject = (no subject)
js-no-body = (This message has no text.)
js-frame-title = Text of the message: { $subject }
js-view-text = Show as plain text
js-view-html = Show as formatted text
js-available-until = You can open this message here until { $date }, as often as you like.
js-unnamed = Attachment { $number }
js-save = Save
js-save-name = Save { $name }
js-saved = { $name } was handed to your browser’s downloads.
js-part-tampered = This attachment was changed on its way and is not opened. Please call us.
js-session-over = You have been signed out for safety. Please load this page again and ask for a new code. What you have written is kept.
js-remove = Remove
js-remove-name = Remove { $name }
js-reply-to = To { $name }
js-reply-discard = Discard what you have written?
js-reply-empty = Please write something or attach a file.
js-files-too-much = { $name } does not fit: at most { $number } files and { $most } together.
js-file-unreadable = { $name } could not be read. Please choose it again.
js-file-again = This file was too large to be kept while the page was away. Please remove it and choose it again.
js-files-missing = Please choose the marked files again, or remove them.
js-sealing = Sealing your reply …
js-sending = Sending: { $percent } %
js-handing-over = Handing over …
js-reply-waiting = Your reply is stored safely and sealed, and will be delivered as soon as possible. You need not send it again.
js-reply-refused = Your reply could not be accepted. What you have written is still here. Please try again, or call us.
js-reply-too-large = Your reply is larger than we can take. Please remove a file.
js-reply-not-sent = Your reply has not been sent yet. Please press the button again.
js-reply-failed = Your reply could not be sealed in this browser. What you have written is still here. Please try again.
js-problem-gone-heading = This message cannot be opened any more
js-problem-gone-advice = It has expired, was withdrawn, or belongs to another address. Ask for a new mail with a link, ask the person who wrote to you, or call us.
js-problem-tampered-heading = This message was changed on its way
js-problem-tampered-advice = What we received does not pass its checks, so nothing of it is shown. Please do not enter anything here. Call us, so that the message can be sent again.
js-problem-unreachable-heading = No connection
js-problem-unreachable-advice = The page could not be reached. Nothing is lost: please check your connection and try again.
js-problem-address-heading = The link is not complete
js-problem-address-advice = Please open the link in our mail once more, or copy the whole of it into the address bar.
