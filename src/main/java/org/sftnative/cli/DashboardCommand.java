package org.sftnative.cli;

import java.io.PrintStream;
import org.sftnative.config.DashboardSettings;
import org.sftnative.config.SettingsSchema;
import org.sftnative.web.LivePage;

/// `dashboard OUT`: the live page of a run of another process, or of one that is done.
final class DashboardCommand {
    static final SettingsSchema<DashboardSettings> DASHBOARD = SettingsSchema.of(DashboardSettings.class);

    private DashboardCommand() {}

    /// Serves until the process is ended, or its thread interrupted.
    static void run(DashboardSettings settings, PrintStream out) {
        ReportCommand.read(settings.run());
        try (LivePage page = new LivePage(settings.run(), settings.host(), settings.port())) {
            out.println("the run is shown at " + page.address() + "  (Ctrl-C ends this)");
            Thread.sleep(Long.MAX_VALUE);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
