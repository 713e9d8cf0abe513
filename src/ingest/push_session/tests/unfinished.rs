use super::*;

fn unfinished(message: &str) -> IncomingEntry {
    let metadata = [("otto.partial".to_owned(), "true".to_owned())].into();
    read(&WorkerLogEntry { metadata, ..wire(message) })
}

#[tokio::test]
async fn an_unfinished_line_gets_no_ack_and_is_shown_until_its_line_or_the_end_comes() {
    let fixture = Fixture::new();
    let (sender, mut session) = fixture.session(AckMode::Each);
    let scope = crate::domain::Scope::Task(TaskId::new("filled").unwrap());
    let readers = fixture.intake.shared().tasks.hub().subscribe(&scope);
    let shown = |version| readers.unfinished_since(version).lines;
    sender.send(Ok(line("one"))).unwrap();
    sender.send(Ok(unfinished("50%"))).unwrap();
    assert_eq!(session.next().await.unwrap().unwrap(), kept(1));
    let mut next = session.next();
    assert!(futures_util::poll!(&mut next).is_pending());
    let [dots] = &shown(0)[..] else { panic!("one is shown") };
    let body = String::from_utf8_lossy(&dots.body);
    assert!(body.contains("\"message\":\"50%\"") && !body.contains("otto.partial"), "{body}");
    sender.send(Ok(unfinished("60%"))).unwrap();
    sender.send(Ok(line("100%"))).unwrap();
    assert_eq!(next.await.unwrap().unwrap(), kept(2));
    assert!(shown(0).is_empty());
    sender.send(Ok(unfinished("Proceed?"))).unwrap();
    let mut next = session.next();
    assert!(futures_util::poll!(&mut next).is_pending());
    assert_eq!(shown(0).len(), 1);
    drop((sender, next));
    assert!(matches!(finish(&mut session).await, (acks, None) if acks.is_empty()));
    drop(session);
    assert!(shown(0).is_empty());
    assert_eq!(fixture.lines_of("filled").await, 2);
}
