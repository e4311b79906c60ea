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

mail-answer-from = { $reader } via { $organisation } portal
mail-answer-without-subject = Your message was answered
mail-answer-held-the-link = This answer came through the portal of { $organisation }, from somebody who held the link that was sent to { $reader }.
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

mail-expired-subject = Expired unread: your protected message to { $recipient }
mail-expired-title = Your message was not opened
mail-expired-intro = You wrote to { $recipient } on { $date }. Your message was not opened in time: it expired and was destroyed in the portal.
mail-expired-next = If it still matters, send it again or reach the recipient in another way.

mail-held-answer-subject = An answer is held in the queue
mail-held-answer-title = An answer could not be delivered
mail-held-answer-intro = { $reader } answered { $sender } in the portal, but the internal mail server refused the answer. It isn’t lost: it is kept, encrypted, in the queue.
mail-held-answer-sender = Mailbox
mail-held-answer-queue-id = Queue id
mail-held-answer-next = Put the cause right, then send the answer again with this command:
