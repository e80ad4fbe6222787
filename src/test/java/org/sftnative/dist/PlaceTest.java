package org.sftnative.dist;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.sftnative.InputException;

/// What launchers set. SLURM's variables are those of srun 23.11's manual; the other two were printed
/// by the launchers.
class PlaceTest {
    private static final Map<String, String> TORCHRUN = Map.of(
            "RANK", "5",
            "WORLD_SIZE", "8",
            "LOCAL_RANK", "1",
            "LOCAL_WORLD_SIZE", "4",
            "MASTER_ADDR", "node7",
            "MASTER_PORT", "29400",
            "TORCHELASTIC_USE_AGENT_STORE", "True",
            "TORCHELASTIC_RESTART_COUNT", "2");

    @Test
    void torchrun() {
        assertEquals(Optional.of(new Place(5, 8, 1, 4, "node7", 29400, true, "2")), Place.of(TORCHRUN));
    }

    @Test
    void pyTorchJobOfOneProcessAPod() {
        Map<String, String> pod = Map.of(
                "RANK",
                "1",
                "WORLD_SIZE",
                "2",
                "MASTER_ADDR",
                "sft-master-0",
                "MASTER_PORT",
                "23456",
                "PET_NNODES",
                "2");
        assertEquals(Optional.of(new Place(1, 2, 0, 1, "sft-master-0", 23456, false, "0")), Place.of(pod));
    }

    @Test
    void slurm() {
        Map<String, String> step = new HashMap<>(Map.of(
                "SLURM_JOB_ID", "4711",
                "SLURM_STEP_ID", "0",
                "SLURM_STEP_NUM_TASKS", "5",
                "SLURM_NTASKS", "5",
                "SLURM_PROCID", "4",
                "SLURM_LOCALID", "0",
                "SLURM_NODEID", "2",
                "SLURM_STEP_TASKS_PER_NODE", "2(x2),1",
                "SLURM_STEP_NODELIST", "gpu[07-08,11]"));
        Place place = Place.of(step).orElseThrow();
        assertEquals(new Place(4, 5, 0, 1, "gpu07", place.port(), false, "0"), place);
        assertTrue(place.port() >= 20_000 && place.port() < 40_000);
        step.put("SLURM_NODEID", "1");
        step.put("SLURM_LOCALID", "1");
        step.put("MASTER_ADDR", "10.0.0.1");
        step.put("MASTER_PORT", "7000");
        assertEquals(Optional.of(new Place(4, 5, 1, 2, "10.0.0.1", 7000, false, "0")), Place.of(step));
    }

    /// The script of a batch job has SLURM_PROCID 0 and the job's SLURM_NTASKS, and is one process.
    @Test
    void aBatchScriptIsNoTask() {
        assertEquals(
                Optional.empty(),
                Place.of(Map.of("SLURM_JOB_ID", "1", "SLURM_PROCID", "0", "SLURM_NTASKS", "8", "SLURM_LOCALID", "0")));
        assertEquals(Optional.empty(), Place.of(Map.of()));
        assertEquals(Optional.empty(), Place.of(Map.of("MASTER_ADDR", "a", "MASTER_PORT", "1")));
    }

    @Test
    void firstHosts() {
        Map.of(
                        "gpu[03-05,9],login1", "gpu03",
                        "a,b[1-2]", "a",
                        "node-1", "node-1",
                        "r[1-2]n[04-8]-ib,x", "r1n04-ib")
                .forEach((list, first) -> assertEquals(first, Place.firstHost(list)));
        assertThrows(InputException.class, () -> Place.firstHost(""));
        assertEquals(List.of(2, 2, 2, 1), Place.tasksPerNode("2(x3),1"));
    }

    @Test
    void aPartOfTheVariablesAndWrongValuesAreRefused() {
        assertEquals(
                "the environment has RANK, and no WORLD_SIZE, MASTER_ADDR, MASTER_PORT",
                refused(Map.of("RANK", "0")).lines().findFirst().orElseThrow());
        assertTrue(refused(with("RANK", "8")).startsWith("the environment's RANK is 8, must be from 0 to 7"));
        assertTrue(refused(with("WORLD_SIZE", "two")).startsWith("the environment's WORLD_SIZE is 'two'"));
        assertTrue(refused(with("MASTER_PORT", "70000")).contains("MASTER_PORT is 70000"));
    }

    private static Map<String, String> with(String name, String value) {
        Map<String, String> environment = new HashMap<>(TORCHRUN);
        environment.put(name, value);
        return environment;
    }

    private static String refused(Map<String, String> environment) {
        return assertThrows(InputException.class, () -> Place.of(environment)).getMessage();
    }
}
