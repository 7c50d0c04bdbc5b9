"""Every statement that the gateway runs on its tables, one module for each subject.

Written in the words of `database.dialect`. All times are the database's, so processes need not agree on a clock.

    rows          the columns of a request, and which statuses an event may change
    reading       by id, owner, execution or time of change
    lists         pages of a user's requests and assets
    selecting     everyone's requests, filtered and sorted; timelines
    submitting    the rules of a submission, and the row that it makes
    spending      what users and organizations have spent
    life          the guarded UPDATE of every event, the asset and the timeline
    sending       claims, the "sending" mark, and the probes of what became of it
    dashboard     counts, durations and costs of a span of time
    identity      which database this is
    alerting      alerts, counts of incidents, and the processes that live

`version` and `updated_at` change exactly when the Body does. What only the dispatcher needs leaves both alone.
Not here: the schema (`migrations`), what is one backend's own (transactions, locks and pragmas, in `database`), and
what the demo seeds and `gateway check` tries.
"""
