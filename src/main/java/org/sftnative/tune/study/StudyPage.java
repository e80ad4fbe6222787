package org.sftnative.tune.study;

public final class StudyPage {
    private StudyPage() {}

    public static String of(StudyResults study) {
        return "";
    }
}
