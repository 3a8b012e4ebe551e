import Testing

@Test func placeholderUntilTargetsExist() {}
