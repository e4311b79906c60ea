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
